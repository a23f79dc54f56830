import type { StepCosts } from '../cost/step-costs.js';
import { attentionFitUs, edgeFitUs, expertFitUs } from './half-fits.js';
import type { MachineProfile, PoolProfile } from './machine-profile.js';
import { transferUs } from './transport-profile.js';

/**
 * The measured machine as `StepCosts`: what plan search and simulator ask instead of a datasheet's
 * costs. `attention` and `expert` say which of the profile's pools the two run as; `transport`
 * which of its transports lies between.
 *
 * @throws RangeError where the profile has no such transport.
 */
export function createProfileCosts(
  profile: MachineProfile,
  parts: {
    readonly attention: PoolProfile;
    readonly expert: PoolProfile;
    readonly transport: string;
  },
): StepCosts {
  const transport = profile.transports.find(({ name }) => name === parts.transport);
  if (transport === undefined)
    throw new RangeError(`The profile has no transport ${parts.transport}.`);
  const { attention, edge, stepOverheadUs } = parts.attention;
  return {
    attentionTimeUs: ({ tokens, keysSeen }) => attentionFitUs(attention, { tokens, keysSeen }),
    expertTimeUs: ({ rows, distinctExperts }) =>
      expertFitUs(parts.expert.expert, rows, distinctExperts),
    transferTimeUs: ({ attentionBytes, expertBytes, attentionPeers, expertPeers }) =>
      Math.max(
        attentionPeers * transferUs(transport, attentionBytes / Math.max(1, attentionPeers)),
        expertPeers * transferUs(transport, expertBytes / Math.max(1, expertPeers)),
      ),
    edgeTimeUs: (tokens) => edgeFitUs(edge, tokens),
    stepOverheadUs,
  };
}
