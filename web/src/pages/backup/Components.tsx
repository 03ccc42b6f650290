import type { Schemas } from '../../api/client';
import { Panel } from '../../components/Panel';
import { Status } from '../../components/Status';
import { Table } from '../../components/Table';
import { bytes, plural } from '../../lib/format';
import { KINDS, STATES } from '../../lib/words';

export function Components({ components }: { components: Schemas['Component'][] }) {
  if (components.length === 0) return null;
  return (
    <Panel title="Components">
      <Table
        label="Components"
        rows={components}
        rowKey={(component) => component.name}
        columns={[
          { key: 'name', label: 'Name', cell: ({ name }) => name },
          { key: 'kind', label: 'Kind', cell: ({ kind }) => KINDS[kind] },
          { key: 'state', label: 'State', cell: ({ state }) => <Status {...STATES[state]} /> },
          {
            key: 'entries',
            label: 'Holds',
            numeric: true,
            cell: ({ entries }) => plural(entries, 'entry', 'entries'),
          },
          { key: 'bytes', label: 'Content', numeric: true, cell: (component) => bytes(component.bytes) },
        ]}
      />
    </Panel>
  );
}
