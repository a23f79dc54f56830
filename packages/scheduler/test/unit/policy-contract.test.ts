import { policyContract } from '@megascale/core/testing';
import { plugin } from '../../src/index.js';
import { calmDecode } from '../support/calm-decode.js';

for (const policy of plugin.policies ?? []) policyContract({ policy });
policyContract({ policy: calmDecode(16) });
