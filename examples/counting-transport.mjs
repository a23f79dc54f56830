// A transport: shm, which also counts the rows that an attention worker sends. A transport of your
// own brings the same two functions; what each method promises stands in
// core/src/spec/transport.ts.
import { shm } from '@megascale/m2n';

const counting = {
  specVersion: 1,
  name: 'counting',
  memoryKinds: shm.memoryKinds,
  probe: () => shm.probe(),
  openExpert: (rank, options) => shm.openExpert(rank, options),
  async openAttention(rank, options) {
    const port = await shm.openAttention(rank, options);
    let rows = 0;
    return {
      slots: port.slots,
      beginStep: (microBatches) => port.beginStep(microBatches),
      adoptPlacement: (placement) => port.adoptPlacement(placement),
      dispatch(layer, microBatch, tokens) {
        rows += tokens * options.topK;
        return port.dispatch(layer, microBatch, tokens);
      },
      combine: (ticket) => port.combine(ticket),
      release: (ticket) => port.release(ticket),
      park: () => port.park(),
      close() {
        console.log(`attention worker ${rank} sent ${rows} rows to the experts`);
        port.close();
      },
    };
  },
};

export const plugin = { transports: [counting] };
