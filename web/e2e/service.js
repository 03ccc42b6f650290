import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const binary = process.env.STRONGROOM_BINARY;

/** The sample application with its first backup, served by the real binary on a free port. */
export async function startService() {
  if (!binary) throw new Error('STRONGROOM_BINARY must name the built binary');
  const folder = join(mkdtempSync(join(tmpdir(), 'strongroom-e2e-')), 'crm');
  const demo = spawnSync(binary, ['demo', '--no-serve', '--at', folder], { encoding: 'utf8' });
  if (demo.status !== 0) throw new Error(`the demo failed: ${demo.stderr}`);
  const service = spawn(binary, ['serve', '--listen', '127.0.0.1:0', '--json'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
  const line = await new Promise((resolve, reject) => {
    service.stdout.once('data', (data) => resolve(String(data)));
    service.once('exit', (code) => reject(new Error(`the service ended with ${code}`)));
  });
  const { url, setupLink } = JSON.parse(line);
  return { folder, url, setupLink, stop: () => service.kill('SIGTERM') };
}
