import type { Schemas } from './client';

export type Backup = Schemas['Backup'];
export type Trust = Schemas['Trust'];
export type Job = Schemas['JobView'];
export type JobState = Schemas['JobStateName'];
export type Restore = Schemas['Restore'];
export type RestorePlan = Schemas['RestorePlan'];
export type ScheduleView = Schemas['ScheduleView'];
export type Status = Schemas['Status'];
export type PlanFigures = Schemas['PlanFigures'];
export type Tier = Schemas['TierName'];
export type State = Schemas['StateName'];
export type FileEntry = Schemas['FileEntry'];
export type CleanupLine = Schemas['CleanupLine'];
export type DayStatistics = Schemas['DayStatistics'];
export type Scope = Schemas['ScopeName'];
