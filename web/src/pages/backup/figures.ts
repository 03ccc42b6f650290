/** A manifest as far as these pages read it; the whole of it is described in docs/formats.md. */
export interface ManifestDocument {
  tools: Record<string, string>;
  capturedAt: string;
  components: ComponentFigures[];
}

export interface ComponentFigures {
  name: string;
  kind: string;
  figures: TreeFigures | DatabaseFigures;
}

export interface TreeFigures {
  type: 'tree';
  files: number;
  directories: number;
  symlinks: number;
  others: number;
  bytes: number;
  listingHash: string;
}

export interface DatabaseFigures {
  type: 'database';
  engine: string;
  engineVersion: string;
  schemaHash: string;
  tables: TableFigures[];
  objects: Record<string, number>;
}

export interface TableFigures {
  schema?: string | null;
  name: string;
  rows: number;
  contentHash?: string | null;
}
