import { Code, Collapse, Button, ScrollArea } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { manifestQuery } from '../../api/queries';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';

/** The manifest as it was written: figures and hashes that every proof compares with. */
export function Manifest({ id }: { id: string }) {
  const [opened, { toggle }] = useDisclosure();
  const query = useQuery({ ...manifestQuery(id), enabled: opened });
  return (
    <Panel
      title="Manifest"
      aside={
        <Button variant="default" size="xs" onClick={toggle} aria-expanded={opened}>
          {opened ? 'Hide' : 'Show'}
        </Button>
      }
    >
      <Collapse expanded={opened}>
        {opened && (
          <Loaded query={query} what="the manifest">
            {(manifest) => (
              <ScrollArea.Autosize mah={480} viewportProps={{ tabIndex: 0 }}>
                <Code block>{JSON.stringify(manifest, null, 2)}</Code>
              </ScrollArea.Autosize>
            )}
          </Loaded>
        )}
      </Collapse>
    </Panel>
  );
}
