// Checked, not run: the published types are complete and strict without skipLibCheck.
import { MegascaleError, type SchedulerPolicy } from '@megascale/core';
import { LLM, type LanguageModel } from '@megascale/engine';
import * as kernelsCpu from '@megascale/kernels-cpu';
import * as m2n from '@megascale/m2n';
import * as planner from '@megascale/planner';
import * as scheduler from '@megascale/scheduler';
import * as server from '@megascale/server';

export const idle: SchedulerPolicy = {
  specVersion: 1,
  name: 'idle',
  plan: () => ({ run: [], preempt: [] }),
};

export async function complete(directory: string, prompt: string): Promise<string> {
  const llm: LanguageModel = await LLM.load(directory, { expertWorkers: 2 });
  let text = '';
  for await (const piece of llm.generate(prompt, { maxTokens: 24, stop: ['\n'] }))
    text += piece.text;
  await llm.close({ drainMs: 0 });
  return text;
}

export const packages = [kernelsCpu, m2n, planner, scheduler, server];
export const codeOf = (error: unknown) =>
  MegascaleError.isInstance(error) ? error.code : undefined;
