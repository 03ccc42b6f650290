import { Stack, Text } from '@mantine/core';
import type { RestorePlan } from '../../api/types';
import { Notice } from '../../components/Notice';
import { Table } from '../../components/Table';
import { bytes, count } from '../../lib/format';
import { entriesWord, KINDS } from '../../lib/words';

/** What a restore would replace: now against then. */
export function PlanView({ plan }: { plan: RestorePlan }) {
  return (
    <Stack>
      {plan.obstacles.length > 0 && <Lines tone="bad" title="It would be refused" lines={plan.obstacles} />}
      {plan.warnings.length > 0 && <Lines tone="warn" title="Know before" lines={plan.warnings} />}
      <Table
        label="What would be replaced"
        rows={plan.components}
        rowKey={(component) => component.name}
        columns={[
          {
            key: 'name',
            label: 'Component',
            cell: ({ name, kind }) => (
              <div>
                <b>{name}</b>
                <Text size="sm" c="dimmed">
                  {KINDS[kind]}
                </Text>
              </div>
            ),
          },
          { key: 'target', label: 'Replaces', breaks: true, cell: ({ target }) => target },
          {
            key: 'now',
            label: 'Now',
            whole: true,
            cell: ({ entriesNow, bytesNow, kind }) =>
              entriesNow == null ? 'Nothing there' : `${count(entriesNow)} ${entriesWord(kind)}${bytesNow == null ? '' : `, ${bytes(bytesNow)}`}`,
          },
          {
            key: 'then',
            label: 'Afterwards',
            whole: true,
            cell: ({ entriesThen, bytesThen, kind }) => `${count(entriesThen)} ${entriesWord(kind)}, ${bytes(bytesThen)}`,
          },
          { key: 'clients', label: 'Clients', whole: true, cell: ({ clients }) => (clients == null ? '–' : `${clients} connected`) },
          {
            key: 'details',
            label: 'Details',
            breaks: true,
            cell: ({ details }) => details.map((line) => <div key={line}>{line}</div>),
          },
        ]}
      />
      <Text size="sm">
        Needs {bytes(plan.spaceNeededBytes)} of free space
        {plan.spaceFreeBytes != null && `; there are ${bytes(plan.spaceFreeBytes)}`}. What is live now is backed up first.
      </Text>
    </Stack>
  );
}

function Lines({ tone, title, lines }: { tone: 'bad' | 'warn'; title: string; lines: string[] }) {
  return (
    <Notice tone={tone} title={title}>
      <ul>
        {lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </Notice>
  );
}
