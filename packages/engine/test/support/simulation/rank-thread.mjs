// A thread that plays one rank after the other. TypeScript, as the tests read it.
import { createJiti } from 'jiti';

await createJiti(import.meta.url).import('./rank-thread.ts');
