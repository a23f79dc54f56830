import { chainAndWord, quoted, type CommandNode, type FlagOffer } from './command-tree.js';

/**
 * Writes the completion of bash: a function that finds out which command the words before the
 * cursor name, and then offers the values of the flag before the cursor, flags, or commands.
 * Where the function offers nothing, bash completes file names.
 */
export function bashScript(nodes: readonly CommandNode[]): string {
  const nested = nodes.filter(({ path }) => path !== '');
  const flagCases = nodes.flatMap(({ path, flags }) =>
    flags.flatMap((flag) => valueCase(path, flag)),
  );
  return `# Completes megascale in bash.
_megascale() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" chain='' word i
  COMPREPLY=()
  # Bash makes three words of --port=80.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' ]]; then
    prev="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$chain $word" in
      ${nested.map(({ path }) => quoted(chainAndWord(path))).join(' | ')})
        chain="\${chain:+$chain }$word" ;;
    esac
  done
  case "$chain $prev" in
${flagCases.join('\n')}
  esac
  case "$chain" in
${nodes.map(nodeCase).join('\n')}
  esac
}
complete -o default -F _megascale megascale
`;
}

/** Offers for the word after a flag that takes a value. */
function valueCase(path: string, { names, value }: FlagOffer): readonly string[] {
  if (value.type === 'none') return [];
  const patterns = names.map((name) => quoted(`${path} ${name}`)).join(' | ');
  const action = {
    file: 'return',
    text: 'compopt +o default; return',
    choice:
      value.type === 'choice'
        ? `COMPREPLY=($(compgen -W ${quoted(value.choices.join(' '))} -- "$cur")); return`
        : '',
  }[value.type];
  return [`    ${patterns}) ${action} ;;`];
}

function nodeCase({ path, offers, flags }: CommandNode): string {
  const words = (names: readonly string[]): string =>
    `COMPREPLY=($(compgen -W ${quoted(names.join(' '))} -- "$cur"))`;
  const flagWords = words(flags.flatMap(({ names }) => names));
  const offerWords = offers.length === 0 ? ':' : words(offers.map(({ name }) => name));
  return `    ${quoted(path)})
      if [[ $cur == -* ]]; then
        ${flagWords}
      else
        ${offerWords}
      fi ;;`;
}
