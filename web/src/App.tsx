import { lazy, Suspense } from 'react';
import { Navigate, Route, Routes } from 'react-router';
import { Loading } from './components/Loading';
import { Gate } from './layout/Gate';

const Overview = lazy(() => import('./pages/overview/OverviewPage'));
const Backups = lazy(() => import('./pages/backups/BackupsPage'));
const Backup = lazy(() => import('./pages/backup/BackupPage'));
const Restore = lazy(() => import('./pages/restore/RestorePage'));
const Schedules = lazy(() => import('./pages/schedules/SchedulesPage'));
const Retention = lazy(() => import('./pages/retention/RetentionPage'));
const Activity = lazy(() => import('./pages/activity/ActivityPage'));
const Settings = lazy(() => import('./pages/settings/SettingsPage'));
const SetUp = lazy(() => import('./pages/setup/SetUpPage'));
const SignIn = lazy(() => import('./pages/sign-in/SignInPage'));
const NotFound = lazy(() => import('./pages/NotFoundPage'));

export function App() {
  return (
    <Suspense fallback={<Loading what="the page" />}>
      <Routes>
        <Route path="/setup" element={<SetUp />} />
        <Route path="/sign-in" element={<SignIn />} />
        {/* Addresses that people know from the systems that Strongroom replaces. */}
        <Route path="/frontend/backup.html" element={<Navigate to="/" replace />} />
        <Route path="/settings/backups" element={<Navigate to="/backups" replace />} />
        <Route element={<Gate />}>
          <Route path="/" element={<Overview />} />
          <Route path="/backups" element={<Backups />} />
          <Route path="/backups/:id" element={<Backup />} />
          <Route path="/restore" element={<Restore />} />
          <Route path="/schedules" element={<Schedules />} />
          <Route path="/retention" element={<Retention />} />
          <Route path="/activity" element={<Activity />} />
          <Route path="/settings/:tab?" element={<Settings />} />
          <Route path="*" element={<NotFound />} />
        </Route>
      </Routes>
    </Suspense>
  );
}
