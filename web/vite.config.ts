import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** The running service that `npm run dev` shows the pages of. */
const service = 'http://127.0.0.1:8484';

export default defineConfig({
  plugins: [react()],
  // The server puts a fresh nonce here with every page.
  html: { cspNonce: '__CSP_NONCE__' },
  // Inlined files would be `data:` addresses, which the policy refuses for scripts and fonts.
  build: { assetsInlineLimit: 0, target: 'es2022' },
  server: { proxy: { '/api': service, '/healthz': service } },
});
