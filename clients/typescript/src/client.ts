import type { components, paths } from './schema.js';

/** Where the service is, and the token to show it. */
export interface ClientOptions {
  /** `https://backups.example.com` */
  url: string;
  /** Made with `strongroom token create NAME --scope …`. */
  token: string;
  /** Gives up on an answer after this. */
  timeoutMs?: number;
}

export type FailureDetail = components['schemas']['FailureDetail'];

/** Every answer of the service. */
export type Answer<T> = { success: true; data: T } | { success: false; error: FailureDetail };

type Method = 'get' | 'put' | 'post' | 'delete' | 'patch';
type Operation<P extends keyof paths, M extends Method> = paths[P][M];
type Json<T> = T extends { content: { 'application/json': infer Body } } ? Body : never;

/** What an operation answers when it succeeds. */
export type DataOf<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer Responses }
    ? Json<Responses[keyof Responses & (200 | 201 | 202)]> extends { data: infer Data }
      ? Data
      : never
    : never;

/** What an operation takes. */
export interface RequestOptions<P extends keyof paths, M extends Method> {
  path?: Operation<P, M> extends { parameters: { path: infer Path } } ? Path : never;
  query?: Operation<P, M> extends { parameters: { query?: infer Query } } ? Query : never;
  body?: Operation<P, M> extends { requestBody?: infer Body } ? Json<NonNullable<Body>> : never;
  /** Makes repeating a request harmless. */
  idempotencyKey?: string;
}

/** Without an answer for so long, something is wrong. Long work answers at once with the id of a job. */
const TIMEOUT_MS = 30_000;

/** The service's API. Failures are answers, never exceptions: also when nothing answers at all. */
export class Strongroom {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  async request<P extends keyof paths & string, M extends Method>(
    method: M,
    path: P,
    options: RequestOptions<P, M> = {},
  ): Promise<Answer<DataOf<P, M>>> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.#options.token}` };
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    if (options.idempotencyKey) headers['idempotency-key'] = options.idempotencyKey;
    let response: Response;
    try {
      response = await fetch(this.#address(path, options.path, options.query), {
        method: method.toUpperCase(),
        headers,
        body: options.body === undefined ? undefined : JSON.stringify(options.body),
        cache: 'no-store',
        signal: AbortSignal.timeout(this.#options.timeoutMs ?? TIMEOUT_MS),
      });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      return failure('unreachable', `Strongroom does not answer: ${why}`, 'Check STRONGROOM_URL, and that the service runs.');
    }
    try {
      return (await response.json()) as Answer<DataOf<P, M>>;
    } catch {
      const hint = 'Check that STRONGROOM_URL is the address of Strongroom itself.';
      return failure('not_json', `The answer with status ${response.status} is not Strongroom's`, hint);
    }
  }

  #address(path: string, parts: unknown, query: unknown): URL {
    const values = (parts ?? {}) as Record<string, string>;
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
    const url = new URL(this.#options.url.replace(/\/+$/, '') + filled);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value != null) url.searchParams.set(name, String(value));
    }
    return url;
  }
}

/** A failure in the service's own shape. */
export function failure(code: string, message: string, hint: string): { success: false; error: FailureDetail } {
  return { success: false, error: { code, message, hint } };
}
