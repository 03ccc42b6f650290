/** Numbers, sizes and times for people, in the browser's language and zone. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `1.5 GiB` */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `12,345` */
export function count(value: number): string {
  return value.toLocaleString();
}

/** `1 backup`, `3 backups` */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** `820 ms`, `4.2 s`, `3 min 12 s`, `2 h 5 min` */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'long' });

/** `3 hours ago`, `in 2 days`, `just now` */
export function ago(iso: string, now = Date.now()): string {
  const seconds = (new Date(iso).getTime() - now) / 1000;
  const step = STEPS.find(([, size]) => Math.abs(seconds) >= size);
  // The pages' clock stands still for half a minute at a time: what just happened may lie ahead of it.
  if (!step) return seconds > 30 ? 'in less than a minute' : 'just now';
  return relative.format(Math.trunc(seconds / step[1]), step[0]);
}

/** `3 hours`, `less than a minute`: how long ago. */
export function since(iso: string, now = Date.now()): string {
  const text = ago(iso, now);
  return text.endsWith(' ago') ? text.slice(0, -4) : 'less than a minute';
}

const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const exactFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
/** Days come as dates of their own zone: `2026-11-22` shall not become the 21st west of Greenwich. */
const dayFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' });

/** Date and time to the minute, in the browser's zone. */
export function when(iso: string): string {
  return full.format(new Date(iso));
}

/** Everything about a time, with its zone. */
export function exact(iso: string): string {
  return exactFormat.format(new Date(iso));
}

/** Day and month. */
export function day(iso: string): string {
  return dayFormat.format(new Date(iso));
}

/** A time in another zone, with the zone's short name. */
export function whenIn(iso: string, zone: string): string {
  return new Intl.DateTimeFormat(undefined, {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    timeZone: zone,
    timeZoneName: 'short',
  }).format(new Date(iso));
}

/** The browser's zone: `Europe/London`. */
export const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** First letter large; ids stay as they are. */
export function capital(text: string): string {
  if (/^[0-9a-f]{12}\b/.test(text)) return text;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The first digits of a hash. */
export function shortHash(hash: string): string {
  return hash.length > 16 ? `${hash.slice(0, 16)}…` : hash;
}

/** A sentence of the service with its times as people here read them. */
export function withTimes(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, when);
}
