const DAY_MS = 86_400_000;

/** When the clocks of a zone change next, to the minute; nothing where they do not change within a year. */
export function nextClockChange(zone: string, from = new Date()): Date | undefined {
  const start = Math.floor(from.getTime() / 60_000) * 60_000;
  for (let day = 0; day < 366; day += 1) {
    let [before, after] = [start + day * DAY_MS, start + (day + 1) * DAY_MS];
    if (offset(zone, before) === offset(zone, after)) continue;
    const old = offset(zone, before);
    while (after - before > 60_000) {
      const middle = Math.floor((before + after) / 120_000) * 60_000;
      if (offset(zone, middle) === old) before = middle;
      else after = middle;
    }
    return new Date(after);
  }
  return undefined;
}

function offset(zone: string, time: number): string {
  const parts = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' }).formatToParts(time);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
}
