import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

const prefix = 'megascale-';

/** What a link between a host and the switch does to packets, each way. */
export interface LinkShape {
  readonly delayMs: number;
  readonly megabitsPerSecond: number;
}

export interface NamespaceHost {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Starts a command on this host. */
  readonly launch: readonly string[];
}

/**
 * Hosts of one machine: network namespaces of this process's own making, joined by veth pairs and a
 * bridge, 10.199.0.0/24 and fd00:6d73::/64. Needs root, `ip` and `tc`.
 */
export class NamespaceHosts {
  readonly hosts: readonly NamespaceHost[];
  readonly #prefix = `${prefix}${String(process.pid)}`;
  readonly #switch = `${this.#prefix}-switch`;

  /** @throws Error with the reason when the system does not let us. */
  constructor(count: number) {
    this.hosts = Array.from({ length: count }, (_, index) => {
      const name = `${this.#prefix}-${String(index)}`;
      return {
        name,
        ipv4: `10.199.0.${String(index + 1)}`,
        ipv6: `fd00:6d73::${String(index + 1)}`,
        launch: ['ip', 'netns', 'exec', name],
      };
    });
    removeLeftovers();
    try {
      this.#make();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /**
   * Shapes what every host and the switch send. False where the kernel has no way to delay: only
   * the rate then holds.
   */
  shape({ delayMs, megabitsPerSecond }: LinkShape): boolean {
    const rate = `${String(megabitsPerSecond)}mbit`;
    const devices = this.hosts.flatMap(({ name }, index) => [
      [name, 'eth0'] as const,
      [this.#switch, `port${String(index)}`] as const,
    ]);
    const replace = (device: readonly [string, string], ...words: string[]): boolean =>
      run(
        'ip',
        'netns',
        'exec',
        device[0],
        'tc',
        'qdisc',
        'replace',
        'dev',
        device[1],
        'root',
        ...words,
      ).status === 0;
    const netem = ['netem', 'delay', `${String(delayMs)}ms`, 'rate', rate];
    if (devices.every((device) => replace(device, ...netem))) return true;
    const bucket = ['tbf', 'rate', rate, 'burst', '256kb', 'latency', '100ms'];
    for (const device of devices) {
      if (!replace(device, ...bucket)) throw new Error(`tc cannot shape ${device.join(' ')}`);
    }
    return false;
  }

  /** [hosts] bytes each has sent over its link so far. */
  bytesSent(): number[] {
    const counter = '/sys/class/net/eth0/statistics/tx_bytes';
    return this.hosts.map(({ name }) =>
      Number(run('ip', 'netns', 'exec', name, 'cat', counter).stdout),
    );
  }

  remove(): void {
    for (const { name } of this.hosts) run('ip', 'netns', 'delete', name);
    run('ip', 'netns', 'delete', this.#switch);
  }

  #make(): void {
    must('ip', 'netns', 'add', this.#switch);
    const inSwitch = (...words: string[]): void => {
      must('ip', '-n', this.#switch, ...words);
    };
    inSwitch('link', 'add', 'name', 'bridge', 'type', 'bridge');
    inSwitch('link', 'set', 'bridge', 'up');
    for (const [index, { name, ipv4, ipv6 }] of this.hosts.entries()) {
      const port = `port${String(index)}`;
      must('ip', 'netns', 'add', name);
      inSwitch('link', 'add', 'name', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
      inSwitch('link', 'set', port, 'master', 'bridge', 'up');
      must('ip', '-n', name, 'addr', 'add', `${ipv4}/24`, 'dev', 'eth0');
      must('ip', '-n', name, 'addr', 'add', `${ipv6}/64`, 'dev', 'eth0', 'nodad');
      must('ip', '-n', name, 'link', 'set', 'eth0', 'up');
      must('ip', '-n', name, 'link', 'set', 'lo', 'up');
    }
  }
}

/** Why this machine cannot have such hosts, if so. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if (run('tc', '-V').status !== 0) return 'ip and tc are not installed (Debian: iproute2)';
  try {
    new NamespaceHosts(1).remove();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Removes the hosts of test processes that were killed. */
function removeLeftovers(): void {
  for (const name of existsSync('/run/netns') ? readdirSync('/run/netns') : []) {
    const [, processId] = new RegExp(`^${prefix}(\\d+)-`).exec(name) ?? [];
    if (processId === undefined || existsSync(`/proc/${processId}`)) continue;
    run('ip', 'netns', 'delete', name);
  }
}

function run(command: string, ...words: string[]) {
  return spawnSync(command, words, { encoding: 'utf8' });
}

function must(command: string, ...words: string[]): void {
  const { status, stderr } = run(command, ...words);
  if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${stderr.trim()}`);
}
