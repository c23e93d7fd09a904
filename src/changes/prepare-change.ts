import type { ChangeRequest, OneChange } from '../core/change.ts';
import { planAccess } from './plan-access.ts';
import type {
  AccessPlan,
  AgreementPlan,
  PlannedChange,
  PlanScope,
  PreparedChange,
  SettledPlan,
} from './planned-change.ts';
import { prepareApply } from './prepare-apply.ts';
import { prepareDelete } from './prepare-delete.ts';
import { prepareStop } from './prepare-stop.ts';

/** Plans a change of one resource. */
export async function planOne(scope: PlanScope, request: OneChange): Promise<PlannedChange> {
  const prepared = await prepareChange(scope, request);
  return prepared.kind === 'prepared' ? prepared.plan() : prepared;
}

/** Returns the request for one change. */
export function oneOf(request: ChangeRequest): OneChange {
  if ('runs' in request) throw new TypeError('several changes are made one by one');
  return request;
}

/** Judges a change by what is on this computer. What changes nothing in dstack is planned as a whole. */
export function prepareChange(
  scope: PlanScope,
  request: OneChange,
): Promise<PreparedChange | AgreementPlan | AccessPlan | SettledPlan> {
  switch (request.tool) {
    case 'apply':
      return prepareApply(scope, request);
    case 'stop':
      return prepareStop(scope, request);
    case 'delete':
      return prepareDelete(scope, request);
    case 'access':
      return planAccess(scope, request);
    default:
      return request satisfies never;
  }
}
