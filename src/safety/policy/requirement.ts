import type { ConsentLevel } from '../../core/change.ts';

/**
 * What a change needs. `person`: a person's yes. `ask`: a person's yes where one can be asked, else the token. `token`: the token.
 * `allow`: nothing beyond the call; the operator said so in the policy.
 */
export const REQUIREMENTS = ['person', 'ask', 'token', 'allow'] as const;
export type Requirement = (typeof REQUIREMENTS)[number];

/** The policy's word where it has one, else the setting's; the setting `person` never lets a bare token pass. */
export function combineRequirements(setting: 'ask' | 'person' | 'token', policy: Requirement | undefined): Requirement {
  const wanted = policy ?? setting;
  return setting === 'person' && wanted !== 'allow' ? 'person' : wanted;
}

const SATISFIES: Readonly<Record<ConsentLevel, readonly Requirement[]>> = {
  'person-card': REQUIREMENTS,
  'person-form': REQUIREMENTS,
  'person-dialog': REQUIREMENTS,
  // `ask`: the gate takes the token only after it found nobody to ask.
  token: ['ask', 'token', 'allow'],
  policy: ['allow'],
};

/** Whether consent of this level satisfies the requirement. */
export const isEnough = (level: ConsentLevel, requirement: Requirement): boolean =>
  SATISFIES[level].includes(requirement);
