import type { ElementBytes } from './derive-model-shape.js';
import type { ModelShape } from './model-shape.js';

const h = 7168;
const heads = 128;
/** Latent keys and values, and the rotated part that all heads share. */
const latent = 512;
const rotary = 64;
const headSize = 128;
const queryRank = 1536;
const experts = 256;
const expertWidth = 2048;
const denseWidth = 18_432;
const vocab = 129_280;
const routedLayers = 58;
const denseLayers = 3;

/**
 * Parameters of one layer's attention with the latent projections absorbed (arXiv 2412.19437,
 * 2.1.1).
 */
const attentionParameters =
  h * queryRank +
  queryRank * heads * (headSize + rotary) +
  h * (latent + rotary) +
  latent * heads * 2 * headSize +
  heads * headSize * h;
const sharedExpert = 3 * h * expertWidth;
const dense = 3 * h * denseWidth;
const layerParameters =
  ((routedLayers + denseLayers) * attentionParameters + denseLayers * dense) / routedLayers +
  sharedExpert +
  h * experts;
/** Reads of one latent vector serve all heads: q·k over latent and rotary, values over latent. */
const attentionLayersPerRouted = (routedLayers + denseLayers) / routedLayers;
/**
 * [tokens, h] in bf16 between ops, the K answers summed, the f32 residual: about as a Mixtral layer
 * moves.
 */
const activationBytes = 2 * h * 16 + 8 * 2 * h;

/**
 * DeepSeek-V3 (arXiv 2412.19437) as sizes: the graph has no op for latent attention or shared
 * experts, so its costs are written down here instead of derived. By default fp8 weights and
 * multiplications, rows dispatched in fp8 and combined in bf16, latents kept in bf16; embedding and
 * LM head in bf16; without multi-token prediction. Weights of 16 bits are multiplied in bf16.
 */
export const deepSeekV3 = {
  source:
    'DeepSeek-V3 (arXiv 2412.19437) as sizes; its graph is not built: latent attention and shared experts have no ops yet',
  shape: ({ weight = 1, activation = 1, kv = 2 }: ElementBytes = {}): ModelShape => ({
    name: 'deepseek-v3',
    layerCount: routedLayers,
    hiddenSize: h,
    expertCount: experts,
    topK: 8,
    expertWidth,
    attention: {
      weightBytes: weight * layerParameters,
      flopsPerToken: 2 * layerParameters,
      activationBytesPerToken: activationBytes,
      flopsPerKeySeen: attentionLayersPerRouted * heads * 2 * (latent + rotary + latent),
      kvBytesPerKeyRead: attentionLayersPerRouted * kv * (latent + rotary),
    },
    expert: {
      weightBytes: weight * 3 * h * expertWidth,
      flopsPerRow: 6 * h * expertWidth,
      activationBytesPerRow: (activation + 2) * h,
    },
    edge: {
      weightBytes: 2 * 2 * vocab * h,
      weightBytesRead: 2 * vocab * h,
      flopsPerToken: 2 * vocab * h,
      activationBytesPerToken: 4 * vocab,
    },
    message: { dispatchBytesPerRow: activation * h, combineBytesPerRow: 2 * h },
    kvBytesPerToken: (routedLayers + denseLayers) * kv * (latent + rotary),
    computeDType: weight > 1 ? 'bf16' : 'fp8',
    parameterCount:
      routedLayers * (layerParameters + experts * 3 * h * expertWidth) + 2 * vocab * h,
    activeParameterCount:
      routedLayers * (layerParameters + 8 * 3 * h * expertWidth) + 2 * vocab * h,
  }),
} as const;
