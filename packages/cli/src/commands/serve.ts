import type { AddressInfo } from 'node:net';
import type { LanguageModel } from '@megascale/engine';
import { checkAddress, composeHttpServer, drain, listenOn, urlOf } from '@megascale/server';
import { Command } from 'commander';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { CliWorld } from '../world.js';
import {
  addDeploymentFlags,
  deploymentOf,
  givenValues,
  type DeploymentFlags,
} from '../flags/deployment-flags.js';
import { loadWithProgress } from '../output/load-model.js';
import { createLogger } from '../output/logger.js';
import { serveOptions } from '../options/all-options.js';
import { addOptionFlags } from '../options/option-flags.js';
import { serveOptionsSchema, type ServeOptions } from '../options/serve-options.js';
import { planOfFlags } from '../flags/plan-flag.js';
import { ShutdownSignals } from '../output/shutdown-signals.js';
import { topologyText } from '../output/topology-text.js';

/** A dictionary entry: what the built-in model was trained on, and any other goes on with. */
const samplePrompt = 'lighthouse (noun):';

type ServeFlags = DeploymentFlags &
  Partial<ServeOptions> & {
    readonly plan?: string;
    readonly json?: boolean;
  };

export function serveCommand(world: CliWorld): Command {
  const command = new Command('serve')
    .description("Serve a model with OpenAI's API.")
    .argument('<MODEL>', 'directory in Hugging Face layout');
  addDeploymentFlags(command);
  return addOptionFlags(command, serveOptions)
    .option('--plan <file>', 'run what plan --out wrote; all other sources precede it')
    .option('--json', 'print one JSON document when ready')
    .addHelpText(
      'after',
      `
SIGINT or SIGTERM drains: no new requests, running ones finish within --drain-ms; a second signal
exits at once.

Examples:
  megascale serve models/dictionary
  megascale serve MODEL --attention-workers 2 --expert-workers 2 --micro-batches 3 --port 8080
  megascale serve MODEL --colocated --threads 8
  megascale serve MODEL --plan plan.json
  megascale serve MODEL --config megascale.yaml
  MEGASCALE_API_KEY=secret megascale serve MODEL --host 0.0.0.0`,
    )
    .action((directory: string, flags: ServeFlags) => serve(directory, flags, world));
}

async function serve(directory: string, flags: ServeFlags, world: CliWorld): Promise<void> {
  const environment = world.readEnvironment();
  const settings = serveOptionsSchema.parse(givenValues(flags, environment, serveOptions));
  const logger = createLogger(settings.logLevel, world);
  const { apiKey } = settings;
  const signals = new ShutdownSignals(world);
  try {
    const given = deploymentOf(flags, environment);
    // A model takes a while to load; a taken port is known at once.
    await checkAddress(settings);
    const plan = planOfFlags(directory, { ...given, plan: flags.plan });
    for (const note of plan.notes) logger.warn(note);
    const deployment = { ...plan.deployment, ...given };
    const model = await loadWithProgress(directory, deployment, { world, logger });
    const app = composeHttpServer({
      model,
      logger,
      ...(apiKey === undefined ? {} : { apiKey }),
    });
    await serveUntilSignal({ app, model, logger, flags, settings, signals, world });
  } finally {
    signals.dispose();
  }
}

interface Serving {
  readonly app: FastifyInstance;
  readonly model: LanguageModel;
  readonly logger: Logger;
  readonly flags: ServeFlags;
  readonly settings: ServeOptions;
  readonly signals: ShutdownSignals;
  readonly world: CliWorld;
}

async function serveUntilSignal(serving: Serving): Promise<void> {
  const { app, model, logger, flags, settings, signals, world } = serving;
  const { drainMs } = settings;
  try {
    if (!signals.requested.aborted) {
      await listenOn(app, settings);
      announce(serving);
      await signals.wait();
      logger.info({ drainMs }, 'draining');
      if (flags.json !== true)
        world.stderr.write('Draining. Press Ctrl-C again to stop at once.\n');
    }
  } finally {
    await drain(app, model, { drainMs });
  }
}

function announce({ app, model, flags, settings, world, logger }: Serving): void {
  const { info } = model;
  const hasKey = settings.apiKey !== undefined;
  const url = urlOf(app.server.address() as AddressInfo);
  if (!hasKey && !['127.0.0.1', '::1', 'localhost'].includes(settings.host)) {
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
