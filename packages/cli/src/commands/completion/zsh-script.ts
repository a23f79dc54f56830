import { chainAndWord, quoted, type CommandNode, type FlagOffer } from './command-tree.js';

/**
 * Writes the completion of zsh, for a file `_megascale` in fpath or for `source`. It finds the
 * command as the script of bash does, and shows descriptions beside the names.
 */
export function zshScript(nodes: readonly CommandNode[]): string {
  const nested = nodes.filter(({ path }) => path !== '');
  const flagCases = nodes.flatMap(({ path, flags }) =>
    flags.flatMap((flag) => valueCase(path, flag)),
  );
  return `#compdef megascale
# Completes megascale in zsh.
_megascale() {
  local chain='' i
  local -a flags offers
  for ((i = 2; i < CURRENT; i++)); do
    case "$chain $words[i]" in
      (${nested.map(({ path }) => quoted(chainAndWord(path))).join('|')})
        chain="\${chain:+$chain }$words[i]" ;;
    esac
  done
  case "$chain $words[CURRENT-1]" in
${flagCases.join('\n')}
  esac
  case "$chain" in
${nodes.map(nodeCase).join('\n')}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o 'flag' flags
  elif (( $#offers )); then
    _describe 'command' offers
  else
    _files
  fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _megascale "$@"
else
  compdef _megascale megascale
fi
`;
}

/** Offers for the word after a flag that takes a value. */
function valueCase(path: string, { names, value }: FlagOffer): readonly string[] {
  if (value.type === 'none') return [];
  const patterns = names.map((name) => quoted(`${path} ${name}`)).join('|');
  const choices = value.type === 'choice' ? value.choices.map(quoted).join(' ') : '';
  const action = {
    file: '_files; return',
    text: 'return',
    choice: `compadd -- ${choices}; return`,
  };
  return [`    (${patterns}) ${action[value.type]} ;;`];
}

function nodeCase({ path, offers, flags }: CommandNode): string {
  const flagLines = flags.flatMap(({ names, description }) =>
    names.map((name) => described(name, description)),
  );
  const offerLines = offers.map(({ name, description }) => described(name, description));
  return `    (${quoted(path)})
      flags=(${flagLines.join(' ')})
      offers=(${offerLines.join(' ')}) ;;`;
}

/** `_describe` takes the text before the first colon as the word, and the rest as its meaning. */
function described(name: string, description: string): string {
  return quoted(`${name}:${description}`);
}
