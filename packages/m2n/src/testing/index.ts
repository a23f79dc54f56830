/** @megascale/m2n/testing: transports that go wrong when a test says so. */
export { withFaults, type Fault, type FaultPlan } from '../faulty-transport.js';
export type { FrameDamage } from '../faulty-frame.js';
