import { afterAll } from 'vitest';
import { removeTemporaryFolders } from './temporary-folders.ts';

// In a setup file, which runs once for each test file: unit tests share modules, so a hook in one of them would run for the first file only.
afterAll(removeTemporaryFolders);
