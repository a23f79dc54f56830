import { presentFields, RequestError } from '@megascale/core';
import { Command } from 'commander';
import {
  addDeploymentFlags,
  deploymentOf,
  givenValues,
  type DeploymentFlags,
} from '../../flags/deployment-flags.js';
import { realNumber, safeInteger, sizeNumber } from '../../flags/number-flags.js';
import { addServerFlags, type ServerFlags } from '../../flags/server-flags.js';
import { loadWithProgress } from '../../output/load-model.js';
import { logOption } from '../../options/all-options.js';
import { addOptionFlags } from '../../options/option-flags.js';
import { logSettings, type LogLevel } from '../../options/serve-options.js';
import { createLogger } from '../../output/logger.js';
import { ShutdownSignals } from '../../output/shutdown-signals.js';
import { UsageError } from '../../output/usage-error.js';
import type { CliWorld } from '../../world.js';
import { modelPartner, type ChatPartner } from './chat-partner.js';
import { ChatSession } from './chat-session.js';
import { serverPartner } from './server-partner.js';

type ChatFlags = ServerFlags &
  DeploymentFlags & {
    readonly model?: string;
    readonly system?: string;
    readonly maxTokens?: number;
    readonly temperature?: number;
    readonly topP?: number;
    readonly seed?: number;
    readonly logLevel?: LogLevel;
  };

const helpText = `
Without MODEL the chat is with the server at --url, which may be any with OpenAI's chat API. With
MODEL the command loads that model, and the flags of serve say how it runs.

In the chat: /reset, /system TEXT, /help, /exit. Ctrl-C stops an answer, Ctrl-D leaves. From a pipe
every line is a turn, and only the answers are printed; the exit code is 1 if a turn failed.

Examples:
  megascale chat
  megascale chat --url http://10.0.0.5:8000 --system 'Answer in one sentence.'
  megascale chat MODEL --attention-workers 2 --expert-workers 2 --temperature 0
  echo 'What is a lighthouse?' | megascale chat`;

/** `megascale chat`: a conversation with a running server, or with a model it loads. */
export function chatCommand(world: CliWorld): Command {
  const command = new Command('chat')
    .description('Talk to a running server, or to a model that is loaded for it.')
    .argument('[MODEL]', 'directory in Hugging Face layout (default: the server at --url)');
  addServerFlags(command)
    .option('--model <name>', 'the model to ask the server for (default: the first it lists)')
    .option('--system <text>', 'system text of the conversation')
    .option('--max-tokens <count>', 'output tokens of an answer at most', sizeNumber('tokens', 1))
    .option(
      '--temperature <t>',
      "0 takes the likeliest token (default: the model's)",
      realNumber(0),
    )
    .option('--top-p <p>', 'keep the likeliest tokens that together reach p', realNumber(0, 1))
    .option('--seed <seed>', 'same seed, same answers (default: random)', safeInteger);
  addDeploymentFlags(command);
  return addOptionFlags(command, logOption)
    .addHelpText('after', helpText)
    .action((directory: string | undefined, flags: ChatFlags) => {
      if (directory !== undefined && command.getOptionValueSource('url') === 'cli') {
        throw new UsageError('Give a MODEL to load, or the --url of a server, not both.');
      }
      return chat(directory, flags, world);
    });
}

async function chat(
  directory: string | undefined,
  flags: ChatFlags,
  world: CliWorld,
): Promise<void> {
  const signals = new ShutdownSignals(world);
  try {
    const partner = await openPartner(directory, flags, world);
    try {
      signals.throwIfRequested();
      const session = new ChatSession(partner, world, flags.system);
      signals.requested.addEventListener('abort', () => {
        session.close();
      });
      const failures = await session.run();
      signals.throwIfRequested();
      if (failures > 0 && world.stdin.isTTY !== true) {
        const message = `Turns that failed: ${failures}; what went wrong is above.`;
        throw new RequestError('ERR_REQUEST_INVALID', { message });
      }
    } finally {
      await partner.close();
    }
  } finally {
    signals.dispose();
  }
}

async function openPartner(
  directory: string | undefined,
  flags: ChatFlags,
  world: CliWorld,
): Promise<ChatPartner> {
  const { maxTokens, temperature, topP, seed } = flags;
  const sampling = presentFields({ maxTokens, temperature, topP, seed });
  if (directory === undefined) return serverPartner({ ...flags, sampling }, world);
  const environment = world.readEnvironment();
  const { logLevel } = logSettings.parse(givenValues(flags, environment, logOption));
  const logger = createLogger(logLevel, world);
  const deployment = deploymentOf(flags, environment);
  return modelPartner(await loadWithProgress(directory, deployment, { world, logger }), sampling);
}
