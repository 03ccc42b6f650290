import { Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { plansQuery } from '../../api/queries';
import { Loaded } from '../../components/Loaded';
import { Notice } from '../../components/Notice';
import { Table } from '../../components/Table';
import { FORMATS, KINDS } from '../../lib/words';

/** What is backed up, as the configuration says. */
export function Protected() {
  const query = useQuery(plansQuery);
  return (
    <Loaded query={query} what="the plans">
      {({ plans, components, componentsDetected, notes }) => (
        <Stack>
          {notes.map((note) => (
            <Notice key={note} tone="info" title={note} />
          ))}
          <Text>
            {componentsDetected
              ? 'The components were found by looking at the application’s folder. Write them into strongroom.toml to change them.'
              : 'The components stand in the configuration.'}
          </Text>
          <Table
            label="Components"
            rows={components}
            rowKey={(component) => component.name}
            columns={[
              { key: 'name', label: 'Component', cell: ({ name }) => name },
              { key: 'kind', label: 'Kind', cell: ({ kind }) => KINDS[kind] },
            ]}
          />
          <Table
            label="Plans"
            rows={plans}
            rowKey={(plan) => plan.name}
            columns={[
              { key: 'name', label: 'Plan', cell: ({ name }) => name },
              { key: 'components', label: 'Components', cell: (plan) => plan.components.join(', ') },
              { key: 'format', label: 'Format', cell: ({ format }) => FORMATS[format] },
              { key: 'words', label: 'Description', cell: ({ description }) => description },
            ]}
          />
        </Stack>
      )}
    </Loaded>
  );
}
