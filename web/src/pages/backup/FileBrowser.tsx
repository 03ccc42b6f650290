import { Anchor, Breadcrumbs, Button, Group, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { filesQuery } from '../../api/queries';
import type { FileEntry } from '../../api/types';
import { Empty } from '../../components/Empty';
import { Icon, type IconName } from '../../components/Icon';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { useSession } from '../../hooks/useSession';
import { bytes } from '../../lib/format';

const ICONS: Record<string, IconName> = { directory: 'folder', symlink: 'link', hardlink: 'link' };

/** What a backup holds, folder by folder or by name. */
export function FileBrowser({ id }: { id: string }) {
  const { isAdmin } = useSession();
  const [path, setPath] = useState('');
  const [typed, setTyped] = useState('');
  const [search] = useDebouncedValue(typed, 300);
  const query = useInfiniteQuery(filesQuery(id, path, search));
  const open = (folder: string) => {
    setPath(folder);
    setTyped('');
  };
  const parts = path === '' ? [] : path.split('/');
  return (
    <Panel title="Contents">
      <Group justify="space-between" mb="sm" align="flex-end">
        <Breadcrumbs component="nav" aria-label="Folder">
          <Anchor component="button" type="button" onClick={() => open('')}>
            All components
          </Anchor>
          {parts.map((part, index) => (
            <Anchor key={index} component="button" type="button" onClick={() => open(parts.slice(0, index + 1).join('/'))}>
              {part}
            </Anchor>
          ))}
        </Breadcrumbs>
        <TextInput
          label="Search in this folder"
          placeholder="Part of a name"
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
        />
      </Group>
      <Loaded query={query} what="the contents">
        {({ pages }) => {
          const files = pages.flatMap((page) => page.files);
          if (files.length === 0) return <Empty title={search ? 'No name fits' : 'This folder is empty'} />;
          return (
            <>
              <Table
                label="Files"
                rows={files}
                rowKey={(file) => file.path}
                columns={[
                  { key: 'name', label: 'Name', breaks: true, cell: (file) => <Name file={file} full={search !== ''} onOpen={open} /> },
                  { key: 'size', label: 'Size', numeric: true, cell: ({ sizeBytes }) => (sizeBytes == null ? '' : bytes(sizeBytes)) },
                  { key: 'modified', label: 'Modified', cell: ({ modifiedAt }) => (modifiedAt ? <Time at={modifiedAt} /> : '') },
                  { key: 'get', label: 'Download', cell: (file) => isAdmin && file.kind === 'file' && <Download id={id} file={file} /> },
                ]}
              />
              {query.hasNextPage && (
                <Button variant="default" mt="sm" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                  Show more
                </Button>
              )}
            </>
          );
        }}
      </Loaded>
    </Panel>
  );
}

function Name({ file, full, onOpen }: { file: FileEntry; full: boolean; onOpen: (path: string) => void }) {
  const label = full ? file.path : file.name;
  return (
    <Group gap={6} wrap="nowrap" align="flex-start">
      <Icon name={ICONS[file.kind] ?? 'file'} />
      {file.kind === 'directory' ? (
        <Anchor component="button" type="button" ta="left" onClick={() => onOpen(file.path)}>
          {label}
        </Anchor>
      ) : (
        <span>
          {label}
          {file.target && ` → ${file.target}`}
        </span>
      )}
    </Group>
  );
}

function Download({ id, file }: { id: string; file: FileEntry }) {
  const href = `/api/backup/${id}/file?path=${encodeURIComponent(file.path)}`;
  return (
    <Anchor href={href} download aria-label={`Download ${file.name}`}>
      Download
    </Anchor>
  );
}
