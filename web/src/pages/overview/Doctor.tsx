import { Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { doctorQuery } from '../../api/queries';
import { Notice } from '../../components/Notice';
import { Panel } from '../../components/Panel';
import { useSession } from '../../hooks/useSession';
import { capital, withTimes } from '../../lib/format';

/** What will go wrong before it does; shows nothing when all is well. */
export function Doctor() {
  const { isAdmin } = useSession();
  const query = useQuery({ ...doctorQuery, enabled: isAdmin });
  const findings = query.data?.findings.filter((finding) => finding.level !== 'ok') ?? [];
  if (findings.length === 0) return null;
  return (
    <Panel title="Worth a look">
      <Stack gap="sm">
        {findings.map((finding) => (
          <Notice key={finding.check + finding.message} tone={finding.level === 'problem' ? 'bad' : 'warn'} title={`${capital(finding.check)}: ${withTimes(finding.message)}`}>
            {finding.remedy && <p>{finding.remedy}</p>}
          </Notice>
        ))}
      </Stack>
    </Panel>
  );
}
