import { z } from 'zod';

/** Which of the two pools a worker belongs to. */
export const workerRole = z.enum(['attention', 'expert']);
export type WorkerRole = z.infer<typeof workerRole>;
