import { policyContract } from '@megascale/core/testing';
import { plugin } from '../src/index.js';
import { calmDecode } from './calm-decode.js';

for (const policy of plugin.policies ?? []) policyContract({ policy });
policyContract({ policy: calmDecode(16) });
