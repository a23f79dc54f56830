import type { AddressInfo } from 'node:net';
import { presentFields } from '@megascale/core';
import type { LanguageModel } from '@megascale/engine';
import { checkAddress, composeHttpServer, drain, listenOn, urlOf } from '@megascale/server';
import { Command } from 'commander';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { LogLevel } from '../environment.js';
import type { CliWorld } from '../world.js';
import {
  addDeploymentFlags,
  deploymentOf,
  type DeploymentFlags,
} from '../flags/deployment-flags.js';
import { loadWithProgress } from '../output/load-model.js';
import { createLogger, logLevelFlag } from '../output/logger.js';
import { wholeNumber } from '../flags/number-flags.js';
import { planOfFlags } from '../flags/plan-flag.js';
import { ShutdownSignals } from '../output/shutdown-signals.js';
import { topologyText } from '../output/topology-text.js';

/** A dictionary entry: what the built-in model was trained on, and any other goes on with. */
const samplePrompt = 'lighthouse (noun):';

interface ServeFlags extends DeploymentFlags {
  readonly host: string;
  readonly port: number;
  readonly name?: string;
  readonly apiKey?: string;
  readonly drainMs: number;
  readonly logLevel?: LogLevel;
  readonly plan?: string;
  readonly json?: boolean;
}

export function serveCommand(world: CliWorld): Command {
  const command = new Command('serve')
    .description("Serve a model with OpenAI's API.")
    .argument('<MODEL>', 'directory in Hugging Face layout');
  return addDeploymentFlags(command)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0 takes a free one', wholeNumber(0, 65535), 8000)
    .option('--name <name>', "what clients call the model (default: the directory's name)")
    .option('--api-key <key>', 'bearer key clients must send (default: MEGASCALE_API_KEY or none)')
    .option('--drain-ms <ms>', 'time running requests get at the end', wholeNumber(0), 30_000)
    .option('--plan <file>', 'run what plan --out wrote; flags that are given override it')
    .option('--json', 'print one JSON document when ready')
    .addOption(logLevelFlag())
    .addHelpText(
      'after',
      `
SIGINT or SIGTERM drains: no new requests, running ones finish within --drain-ms; a second signal exits at once.

Examples:
  megascale serve models/dictionary
  megascale serve MODEL --attention-workers 2 --expert-workers 2 --micro-batches 3 --port 8080
  megascale serve MODEL --colocated --threads 8
  megascale serve MODEL --plan plan.json
  MEGASCALE_API_KEY=secret megascale serve MODEL --host 0.0.0.0`,
    )
    .action((directory: string, flags: ServeFlags) => serve(directory, flags, world));
}

async function serve(directory: string, flags: ServeFlags, world: CliWorld): Promise<void> {
  const environment = world.readEnvironment();
  const logger = createLogger(flags.logLevel ?? environment.logLevel ?? 'warn', world);
  const apiKey = flags.apiKey ?? environment.apiKey;
  const signals = new ShutdownSignals(world);
  try {
    // A model takes a while to load; a taken port is known at once.
    await checkAddress(flags);
    const plan = planOfFlags(directory, flags);
    for (const note of plan.notes) logger.warn(note);
    const deployment = {
      ...plan.deployment,
      ...presentFields(deploymentOf(flags, environment)),
      name: flags.name,
    };
    const model = await loadWithProgress(directory, deployment, { world, logger });
    const app = composeHttpServer({
      model,
      logger,
      ...(apiKey === undefined ? {} : { apiKey }),
    });
    await serveUntilSignal({
      app,
      model,
      logger,
      flags,
      signals,
      world,
      hasKey: apiKey !== undefined,
    });
  } finally {
    signals.dispose();
  }
}

interface Serving {
  readonly app: FastifyInstance;
  readonly model: LanguageModel;
  readonly logger: Logger;
  readonly flags: ServeFlags;
  readonly signals: ShutdownSignals;
  readonly world: CliWorld;
  readonly hasKey: boolean;
}

async function serveUntilSignal(serving: Serving): Promise<void> {
  const { app, model, logger, flags, signals, world } = serving;
  try {
    if (!signals.requested.aborted) {
      await listenOn(app, flags);
      announce(serving);
      await signals.wait();
      logger.info({ drainMs: flags.drainMs }, 'draining');
      if (flags.json !== true)
        world.stderr.write('Draining. Press Ctrl-C again to stop at once.\n');
    }
  } finally {
    await drain(app, model, { drainMs: flags.drainMs });
  }
}

function announce({ app, model, flags, world, hasKey, logger }: Serving): void {
  const { info } = model;
  const url = urlOf(app.server.address() as AddressInfo);
  if (!hasKey && !['127.0.0.1', '::1', 'localhost'].includes(flags.host)) {
    logger.warn(
      'anyone who can reach this address can use the model; set --api-key to ask for a key',
    );
  }
  if (flags.json === true) {
    const { name, topology, backend, isa } = info;
    world.stdout.write(`${JSON.stringify({ url, model: name, topology, backend, isa })}\n`);
    return;
  }
  const key = hasKey ? ' -H "authorization: Bearer $MEGASCALE_API_KEY"' : '';
  const body = JSON.stringify({ prompt: samplePrompt, max_tokens: 32 });
  world.stdout.write(`MegaScale serves ${info.name} (${info.family}) at ${url}
Topology  ${topologyText(info)}
Try       curl ${url}/v1/completions -H 'content-type: application/json'${key} -d '${body}'
Stop      Ctrl-C finishes what is running, then stops.
`);
}
