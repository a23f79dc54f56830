import { chainAndWord, type CommandNode, type FlagOffer } from './command-tree.js';

/**
 * Writes the completion of fish: one function that says which command the words before the cursor
 * name, and one `complete` line for each flag and each nested command.
 */
export function fishScript(nodes: readonly CommandNode[]): string {
  const nested = nodes.filter(({ path }) => path !== '');
  return `# Completes megascale in fish.
function __megascale_at
    set -l chain ''
    for word in (commandline -opc)[2..]
        switch "$chain $word"
            case ${nested.map(({ path }) => quoted(chainAndWord(path))).join(' ')}
                set chain (string trim "$chain $word")
        end
    end
    test "$chain" = "$argv[1]"
end
${nodes.flatMap(nodeLines).join('\n')}
`;
}

function nodeLines({ path, offers, flags }: CommandNode): readonly string[] {
  const head = `complete -c megascale -n ${quoted(`__megascale_at ${quoted(path)}`)}`;
  return [
    // Only a command without nested ones and without choices takes files.
    ...(offers.length === 0 ? [] : [`${head} -f`]),
    ...offers.map(
      ({ name, description }) => `${head} -a ${quoted(name)} -d ${quoted(description)}`,
    ),
    ...flags.map((flag) => `${head} ${flagWords(flag)}`),
  ];
}

function flagWords({ names, description, value }: FlagOffer): string {
  const words = names.map((name) =>
    name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  );
  const choices = value.type === 'choice' ? ` -a ${quoted(value.choices.join(' '))}` : '';
  const kind = { none: '', file: ' -r -F', text: ' -x', choice: ` -x${choices}` }[value.type];
  return `${words.join(' ')}${kind} -d ${quoted(description)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
