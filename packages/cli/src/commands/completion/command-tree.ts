import type { Argument, Command, Option } from 'commander';

/** One command as a shell completes it. */
export interface CommandNode {
  /** Words after the program's name: '' for the program itself, 'bench decode' for a nested one. */
  readonly path: string;
  /** Nested commands and choices of the arguments. */
  readonly offers: readonly Offer[];
  readonly flags: readonly FlagOffer[];
}

export interface Offer {
  readonly name: string;
  readonly description: string;
}

export interface FlagOffer {
  /** As typed: '-h', '--help'. */
  readonly names: readonly string[];
  readonly description: string;
  readonly value: FlagValue;
}

/** What the word after a flag is. An optional value is offered like a needed one. */
export type FlagValue =
  | { readonly type: 'none' | 'text' | 'file' }
  | { readonly type: 'choice'; readonly choices: readonly string[] };

/** Names of values in the help that a path may be given for. */
const fileValue = /^(file|path|dir|directory|policy|trace|model)$/i;

/** Lists a program's commands, the program itself first, from what commander knows of them. */
export function commandNodes(program: Command): readonly CommandNode[] {
  return nodesOf(program, '');
}

function nodesOf(command: Command, path: string): readonly CommandNode[] {
  const help = command.createHelp();
  const nested = help.visibleCommands(command);
  const offers = nested.map((one) => ({ name: one.name(), description: one.description() }));
  const node: CommandNode = {
    path,
    offers: [...offers, ...command.registeredArguments.flatMap(choicesOf)],
    flags: help.visibleOptions(command).map(flagOffer),
  };
  return [
    node,
    ...nested.flatMap((one) => {
      const nestedPath = `${path} ${one.name()}`.trim();
      // The help command is commander's own; its argument is a command beside it.
      if (!command.commands.includes(one)) return [{ path: nestedPath, offers, flags: [] }];
      return nodesOf(one, nestedPath);
    }),
  ];
}

function choicesOf({ argChoices = [], description }: Argument): readonly Offer[] {
  return argChoices.map((name) => ({ name, description }));
}

function flagOffer(option: Option): FlagOffer {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  return { names, description: option.description, value: flagValue(option) };
}

function flagValue(option: Option): FlagValue {
  if (option.argChoices !== undefined) return { type: 'choice', choices: option.argChoices };
  if (!option.required && !option.optional) return { type: 'none' };
  const [, valueName = ''] = /[<[]([^>\]]*)[>\]]/.exec(option.flags) ?? [];
  return { type: fileValue.test(valueName) ? 'file' : 'text' };
}

/**
 * What a script compares with when it walks the words before the cursor: the commands so far, a
 * space, and the word. 'bench decode' stays, 'serve' becomes ' serve', for no command is before it.
 */
export function chainAndWord(path: string): string {
  return path.includes(' ') ? path : ` ${path}`;
}

/** A text in single quotes, for shells in the family of sh. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
