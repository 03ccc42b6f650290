import createClient from 'openapi-fetch';
import { ApiError } from './error';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];

/** The service's API, typed by its OpenAPI document. The session's cookie goes along by itself. */
export const api = createClient<paths>({ baseUrl: '/' });

interface Answer<T> {
  data?: { data: T };
  error?: unknown;
  response: Response;
}

/** What an answer holds; whatever went wrong becomes an {@link ApiError}. */
export async function unwrap<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch {
    throw ApiError.offline();
  }
  if (answer.data !== undefined) return answer.data.data;
  throw ApiError.of(answer.response.status, answer.error);
}
