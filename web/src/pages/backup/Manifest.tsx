import { Anchor, Button, Code, Collapse, ScrollArea, Stack, Text, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { manifestQuery } from '../../api/queries';
import { Facts } from '../../components/Facts';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';
import { Table } from '../../components/Table';
import { TimeInBoth } from '../../components/Time';
import { bytes, capital, count, plural, shortHash } from '../../lib/format';
import { KINDS } from '../../lib/words';
import type { ComponentFigures, DatabaseFigures, ManifestDocument, TreeFigures } from './figures';

/** Figures and hashes that every proof compares with: table by table, tree by tree. */
export function Manifest({ id }: { id: string }) {
  const [whole, { toggle }] = useDisclosure();
  const query = useQuery(manifestQuery(id));
  return (
    <Panel
      title="Manifest"
      aside={
        <Button variant="default" size="xs" onClick={toggle} aria-expanded={whole}>
          {whole ? 'Hide the whole manifest' : 'Show the whole manifest'}
        </Button>
      }
    >
      <Text size="sm" c="dimmed" mb="md">
        What was counted and hashed in the same instant as the data was read. Verifications and drills compare with it.
      </Text>
      <Loaded query={query} what="the manifest">
        {(document) => {
          const manifest = document as unknown as ManifestDocument;
          const trees = manifest.components.filter(({ figures }) => figures.type === 'tree');
          return (
            <Stack gap="lg">
              <Facts
                facts={[
                  ['Captured', <TimeInBoth key="captured" at={manifest.capturedAt} />],
                  ...Object.entries(manifest.tools).map(([tool, version]): [string, string] => [capital(tool), version]),
                ]}
              />
              {manifest.components.map(
                ({ name, figures }) => figures.type === 'database' && <DatabaseTable key={name} name={name} figures={figures} />,
              )}
              {trees.length > 0 && <Trees trees={trees} />}
              <Collapse expanded={whole}>
                {whole && (
                  <ScrollArea.Autosize mah={480} viewportProps={{ tabIndex: 0 }}>
                    <Code block>{JSON.stringify(document, null, 2)}</Code>
                  </ScrollArea.Autosize>
                )}
              </Collapse>
            </Stack>
          );
        }}
      </Loaded>
    </Panel>
  );
}

/** So many tables are shown before somebody asks for all. */
const TABLES_SHOWN = 25;

function DatabaseTable({ name, figures }: { name: string; figures: DatabaseFigures }) {
  const [all, { open }] = useDisclosure();
  const { tables, objects } = figures;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const others = Object.entries(objects).filter(([, number]) => number > 0);
  return (
    <div>
      <Title order={3}>{name}</Title>
      <Text size="sm" c="dimmed" mb="xs">
        {[
          `${figures.engine} ${figures.engineVersion}`,
          plural(tables.length, 'table'),
          plural(rows, 'row'),
          ...others.map(([kind, number]) => `${count(number)} ${number === 1 ? kind.replace(/(?<=x)es$|s$/, '') : kind}`),
        ].join(', ')}
        . Schema <code title={figures.schemaHash}>{shortHash(figures.schemaHash)}</code>
      </Text>
      <Table
        label={`Tables of ${name}`}
        rows={all ? tables : tables.slice(0, TABLES_SHOWN)}
        rowKey={(table) => `${table.schema ?? ''}.${table.name}`}
        columns={[
          { key: 'name', label: 'Table', breaks: true, cell: (table) => (table.schema ? `${table.schema}.${table.name}` : table.name) },
          { key: 'rows', label: 'Rows', numeric: true, cell: (table) => count(table.rows) },
          { key: 'hash', label: 'Content hash', breaks: true, cell: (table) => <Hash value={table.contentHash} /> },
        ]}
      />
      {!all && tables.length > TABLES_SHOWN && (
        <Anchor component="button" type="button" size="sm" mt="xs" onClick={open}>
          Show all {count(tables.length)} tables
        </Anchor>
      )}
    </div>
  );
}

function Trees({ trees }: { trees: ComponentFigures[] }) {
  const of = ({ figures }: ComponentFigures) => figures as TreeFigures;
  return (
    <div>
      <Title order={3} mb="xs">
        Files
      </Title>
      <Table
        label="File trees"
        rows={trees}
        rowKey={(tree) => tree.name}
        columns={[
          { key: 'name', label: 'Component', cell: ({ name, kind }) => `${name} (${(KINDS[kind] ?? kind).toLowerCase()})` },
          { key: 'files', label: 'Files', numeric: true, cell: (tree) => count(of(tree).files) },
          { key: 'folders', label: 'Folders', numeric: true, cell: (tree) => count(of(tree).directories) },
          { key: 'links', label: 'Links', numeric: true, cell: (tree) => count(of(tree).symlinks) },
          { key: 'bytes', label: 'Content', numeric: true, cell: (tree) => bytes(of(tree).bytes) },
          { key: 'hash', label: 'Listing hash', breaks: true, cell: (tree) => <Hash value={of(tree).listingHash} /> },
        ]}
      />
    </div>
  );
}

function Hash({ value }: { value?: string | null }) {
  return value ? <code title={value}>{shortHash(value)}</code> : <>not hashed</>;
}
