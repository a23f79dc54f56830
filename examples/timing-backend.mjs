// A backend: the reference backend, which also tells how long its two stages took. A backend of
// your own brings the same functions; what each promises stands in core/src/spec/backend.ts.
import { referenceBackend } from '@megascale/core';

const timing = {
  specVersion: 1,
  name: 'timing',
  probe: () => referenceBackend.probe(),
  async create(options) {
    const backend = await referenceBackend.create(options);
    const ms = { attention: 0, experts: 0 };
    const timed = (kind, stage, names) =>
      new Proxy(stage, {
        get(target, name) {
          const value = target[name];
          if (typeof value !== 'function') return value;
          if (!names.includes(name)) return value.bind(target);
          return (...given) => {
            const beganMs = performance.now();
            const result = value.apply(target, given);
            ms[kind] += performance.now() - beganMs;
            return result;
          };
        },
      });
    return {
      name: 'timing',
      memory: backend.memory,
      activationDType: backend.activationDType,
      isa: backend.isa,
      allocate: (byteLength) => backend.allocate(byteLength),
      createAttentionStage: async (given) =>
        timed('attention', await backend.createAttentionStage(given), ['attend', 'combine']),
      createExpertStage: async (given) =>
        timed('experts', await backend.createExpertStage(given), ['run']),
      close() {
        const { attention, experts } = ms;
        console.log(`attention ${attention.toFixed(0)} ms, experts ${experts.toFixed(0)} ms`);
        backend.close();
      },
    };
  },
};

export const plugin = { backends: [timing] };
