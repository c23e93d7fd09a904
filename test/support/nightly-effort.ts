import * as fc from 'fast-check';
import { propertyRuns } from './effort.ts';

// For the property tests that don't say how often they run.
fc.configureGlobal({ numRuns: propertyRuns(100) });
