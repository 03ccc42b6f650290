import type { PlanFigures, ScheduleView, Trust } from '../../api/types';

export interface PlanSummary {
  name: string;
  /** Still part of the configuration. */
  configured: boolean;
  nextRun?: string;
  lastSuccess?: string;
  lastFailure?: string;
  newestProven?: string;
  lastBytes?: number;
  lastDurationMs?: number;
  trust: Trust;
  count: number;
  bytes: number;
}

/**
 * One line a plan out of one a plan and tier: the configured plans, also those without any backup, then those that only
 * their backups remember. Backups made before restores protect an undo, not the plan.
 */
export function byPlan(figures: PlanFigures[], configured: string[], schedules: ScheduleView[]): PlanSummary[] {
  const names = [...new Set([...configured, ...figures.filter(({ tier }) => tier !== 'pre-restore').map(({ plan }) => plan)])];
  return names.map((name) => {
    const tiers = figures.filter((one) => one.plan === name && one.tier !== 'pre-restore');
    const newest = tiers.toSorted((a, b) => (b.lastSuccessAt ?? '').localeCompare(a.lastSuccessAt ?? ''))[0];
    return {
      name,
      configured: configured.includes(name),
      nextRun: schedules
        .filter(({ plan }) => plan === name)
        .flatMap(({ nextRuns }) => nextRuns)
        .toSorted()[0],
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
