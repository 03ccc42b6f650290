import { AppShell, Burger, Button, Group, NavLink, Text, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { Suspense } from 'react';
import { Link, Outlet, useLocation } from 'react-router';
import { api, unwrap, type Schemas } from '../api/client';
import { queryClient } from '../api/queryClient';
import { overviewQuery, runningJobsQuery, sessionQuery } from '../api/queries';
import { ApiError } from '../api/error';
import { Icon, type IconName } from '../components/Icon';
import { Loading } from '../components/Loading';
import { Notice } from '../components/Notice';
import { PlanZone } from '../components/Time';
import { useAction } from '../hooks/useAction';
import { plural, when } from '../lib/format';
import classes from './Frame.module.css';

const PLACES: [string, string, IconName][] = [
  ['/', 'Overview', 'overview'],
  ['/backups', 'Backups', 'backups'],
  ['/restore', 'Restore', 'restore'],
  ['/schedules', 'Schedules', 'schedules'],
  ['/retention', 'Retention', 'retention'],
  ['/activity', 'Activity', 'activity'],
  ['/settings', 'Settings', 'settings'],
];

/** Navigation around every page. */
export function Frame({ me }: { me: Schemas['Me'] }) {
  const [opened, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light');
  const overview = useQuery(overviewQuery);
  const running = useQuery(runningJobsQuery);
  const signOut = useAction({
    run: () => unwrap(api.DELETE('/api/session')),
    after: () => {
      queryClient.setQueryData(sessionQuery.queryKey, null);
      queryClient.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionQuery.queryKey[0] });
    },
  });
  const offline = overview.error instanceof ApiError && overview.error.code === 'offline';
  return (
    <AppShell header={{ height: { base: 56, sm: 0 } }} navbar={{ width: 232, breakpoint: 'sm', collapsed: { mobile: !opened } }}>
      <a href="#main" className={classes.skip}>
        Skip to the page
      </a>
      <AppShell.Header hiddenFrom="sm" className={classes.header}>
        <Burger opened={opened} onClick={toggle} size="sm" aria-label={opened ? 'Close the menu' : 'Open the menu'} />
        <Brand />
      </AppShell.Header>
      <AppShell.Navbar p="sm" aria-label="Pages" className={classes.navbar}>
        <div className={classes.brand}>
          <Brand />
        </div>
        <div className={classes.places}>
          {PLACES.map(([to, label, icon]) => {
            const active = to === '/' ? pathname === '/' : pathname.startsWith(to);
            return (
              <NavLink
                key={to}
                component={Link}
                to={to}
                label={label}
                leftSection={<Icon name={icon} />}
                active={active}
                aria-current={active ? 'page' : undefined}
                onClick={close}
              />
            );
          })}
        </div>
        {Boolean(running.data?.total) && (
          <div role="status">
            <Text size="sm" component={Link} to="/activity" className={classes.running}>
              {plural(running.data!.total, 'job')} running
            </Text>
          </div>
        )}
        <Text size="sm" c="dimmed" px="xs" truncate>
          {me.name}
          {me.role === 'VIEWER' && ', may look only'}
        </Text>
        <Group gap={4} wrap="nowrap">
          <Button
            variant="subtle"
            size="compact-sm"
            leftSection={<Icon name={scheme === 'dark' ? 'sun' : 'moon'} size={16} />}
            onClick={() => setColorScheme(scheme === 'dark' ? 'light' : 'dark')}
          >
            {scheme === 'dark' ? 'Light' : 'Dark'}
          </Button>
          <Button variant="subtle" size="compact-sm" leftSection={<Icon name="leave" size={16} />} onClick={() => signOut.mutate()}>
            Sign out
          </Button>
        </Group>
      </AppShell.Navbar>
      <AppShell.Main id="main" className={classes.main}>
        <div className={classes.page}>
          {offline && (
            <Notice tone="bad" title="The service does not answer" live>
              <p>
                {overview.dataUpdatedAt > 0 && `What you see was true on ${when(new Date(overview.dataUpdatedAt).toISOString())}. `}
                Check your connection, and that “strongroom serve” runs. This page tries again by itself.
              </p>
            </Notice>
          )}
          <PlanZone value={overview.data?.scheduler.timezone}>
            <Suspense fallback={<Loading what="the page" />}>
              <Outlet />
            </Suspense>
          </PlanZone>
        </div>
      </AppShell.Main>
    </AppShell>
  );
}

function Brand() {
  return (
    <Group gap="xs" wrap="nowrap">
      <img src="/icon.svg" alt="" width={26} height={26} />
      <Text fw={700}>Strongroom</Text>
    </Group>
  );
}
