import type { CopyLimits, LeftOut } from './copy-tree.ts';
import type { InRun } from './list-run.ts';

/** A copy in one direction, with its local path checked. */
export interface CopyRequest {
  /** Absolute, without links. */
  readonly local: string;
  readonly localKind: 'file' | 'folder' | 'missing';
  /** The local path ends with a separator, so that it names a folder. */
  readonly intoLocal: boolean;
  /** As it was passed: relative ones start in the working directory of the run. */
  readonly remote: string;
  readonly replace: boolean;
}

/** The result of a copy. */
export interface Copied {
  readonly kind: 'file' | 'folder';
  /** Absolute: of the file, or of the folder whose content was copied. */
  readonly local: string;
  readonly remote: string;
  readonly files: number;
  readonly bytes: number;
  /** Files that were the same. */
  readonly same: number;
  readonly leftOut: readonly LeftOut[];
  /** Local paths of the first small pictures among downloaded files, by their names. */
  readonly pictures: readonly string[];
  /** Images without a program for checksums exist. */
  readonly checkedBy: 'sha256' | 'size';
}

/** The progress of a copy. */
export interface CopyState {
  readonly bytes: number;
  readonly ofBytes: number;
}

/** Everything that a copy needs in addition to its paths. */
export interface CopyScope extends InRun {
  readonly limits: CopyLimits;
  readonly onProgress: (state: CopyState) => void;
}
