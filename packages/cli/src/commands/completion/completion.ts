import { Argument, Command } from 'commander';
import type { CliWorld } from '../../world.js';
import { bashScript } from './bash-script.js';
import { commandNodes, type CommandNode } from './command-tree.js';
import { fishScript } from './fish-script.js';
import { zshScript } from './zsh-script.js';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const satisfies Record<
  string,
  (nodes: readonly CommandNode[]) => string
>;

type Shell = keyof typeof scripts;

const helpText = `
The script knows every command and flag of this version; write it anew after an update.

Examples:
  source <(megascale completion bash)                                   # this bash only
  megascale completion bash > ~/.local/share/bash-completion/completions/megascale
  megascale completion zsh > ~/.zfunc/_megascale                        # with ~/.zfunc in fpath
  megascale completion fish > ~/.config/fish/completions/megascale.fish`;

/** `megascale completion SHELL`: prints the script that makes a shell complete this program. */
export function completionCommand(world: CliWorld): Command {
  return new Command('completion')
    .description('Print a script that makes a shell complete commands and flags.')
    .addArgument(new Argument('<SHELL>', 'the shell').choices(Object.keys(scripts)))
    .addHelpText('after', helpText)
    .action((shell: Shell, _flags: unknown, command: Command) => {
      world.stdout.write(scripts[shell](commandNodes(command.parent ?? command)));
    });
}
