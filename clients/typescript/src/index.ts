export { Strongroom } from './client.js';
export type { Answer, ClientOptions, DataOf, FailureDetail, RequestOptions } from './client.js';
export * from './actions.js';
export type { components, paths } from './schema.js';
