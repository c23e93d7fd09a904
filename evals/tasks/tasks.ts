import type { EvalTask } from '../task.ts';
import { CHANGE_TASKS } from './changes.ts';
import { LIMIT_TASKS } from './limits.ts';
import { QUESTION_TASKS } from './questions.ts';
import { REPAIR_TASKS } from './repairs.ts';

/** All requests, in the order in which they are tried. */
export const TASKS: readonly EvalTask[] = [...QUESTION_TASKS, ...CHANGE_TASKS, ...REPAIR_TASKS, ...LIMIT_TASKS];
