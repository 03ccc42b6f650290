/** A failure as people shall read it: what happened, and what to do next. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }

  /** Nothing answered. */
  static offline(): ApiError {
    const hint = 'Check your connection, and that “strongroom serve” runs. This page tries again by itself.';
    return new ApiError(0, 'offline', 'The service does not answer', hint);
  }

  /** The service answered with a failure. */
  static of(status: number, body: unknown): ApiError {
    const detail = (body as { error?: { code?: string; message?: string; hint?: string } } | undefined)?.error;
    if (!detail?.message) {
      return new ApiError(status, 'unknown', `The service answered with status ${status}`, 'Try again, and look at its log.');
    }
    return new ApiError(status, detail.code ?? 'unknown', sentence(detail.message), detail.hint ?? '');
  }

  /** Any thrown thing. */
  static from(cause: unknown): ApiError {
    if (cause instanceof ApiError) return cause;
    return new ApiError(0, 'page', 'This page has a fault', cause instanceof Error ? cause.message : String(cause));
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
