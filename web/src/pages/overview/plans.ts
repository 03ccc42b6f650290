import type { PlanFigures, Trust } from '../../api/types';

export interface PlanSummary {
  name: string;
  lastSuccess?: string;
  lastFailure?: string;
  newestProven?: string;
  lastBytes?: number;
  lastDurationMs?: number;
  trust: Trust;
  count: number;
  bytes: number;
}

/** One line a plan out of one a plan and tier. Backups made before restores protect an undo, not the plan. */
export function byPlan(figures: PlanFigures[]): PlanSummary[] {
  const names = [...new Set(figures.map((one) => one.plan))];
  return names.map((name) => {
    const tiers = figures.filter((one) => one.plan === name && one.tier !== 'pre-restore');
    const newest = tiers.toSorted((a, b) => (b.lastSuccessAt ?? '').localeCompare(a.lastSuccessAt ?? ''))[0];
    return {
      name,
      lastSuccess: newest?.lastSuccessAt ?? undefined,
      lastFailure: latest(tiers.map((one) => one.lastFailureAt)),
      newestProven: latest(tiers.map((one) => one.newestProvenAt)),
      lastBytes: newest?.lastBytes ?? undefined,
      lastDurationMs: newest?.lastDurationMs ?? undefined,
      trust: newest?.trust ?? {},
      count: tiers.reduce((sum, one) => sum + one.count, 0),
      bytes: tiers.reduce((sum, one) => sum + one.bytes, 0),
    };
  });
}

function latest(times: (string | null | undefined)[]): string | undefined {
  return times.filter((time) => time != null).toSorted().at(-1);
}
