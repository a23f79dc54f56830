/**
 * @megascale/m2n/testing: transports that go wrong when a test says so, and threads on a simulated
 * clock.
 */
export { withFaults, type Fault, type FaultPlan } from './faulty-transport.js';
export type { FrameDamage } from './faulty-frame.js';
export { simulatedLoopback } from './simulated-loopback.js';
export { SimulatedWorld } from './simulated-world.js';
export { fabricApart } from './fabric-apart.js';
