import type { ModelGraph } from '../../graph/ops.js';
import type { QuantizedModules } from './quantization-config.js';
import type { QuantizedForm } from './quantize-groups.js';

/**
 * Says in module names what a plan says in tensor names: the form of most linear layers, the
 * exceptions with a form of their own, and those that are not quantized.
 */
export function quantizedModules(
  model: ModelGraph,
  plan: ReadonlyMap<string, QuantizedForm>,
): QuantizedModules {
  const layers = model.layers.flatMap((graph) => graph.nodes);
  const nodes = [...layers, ...model.prologue.nodes, ...model.epilogue.nodes];
  const kept = new Set<string>();
  const exceptions: { form: QuantizedForm; targets: readonly string[] }[] = [];
  const usual = [...plan.values()][0];
  for (const node of nodes) {
    if (node.op === 'router') kept.add(moduleOf(node.weight.name));
    if (node.op !== 'lmHead') continue;
    const form = plan.get(node.weight.name);
    // A tied LM head is a module, too, though it has no tensor.
    if (form === undefined) kept.add('lm_head');
    else if (!sameForm(form, usual))
      exceptions.push({ form, targets: [moduleOf(node.weight.name)] });
  }
  const groups = usual === undefined ? [] : [{ form: usual, targets: ['Linear'] }, ...exceptions];
  return { groups, ignored: [...kept] };
}

/** 'model.norm.weight' → 'model.norm'. */
function moduleOf(tensorName: string): string {
  return tensorName.replace(/\.weight$/, '');
}

function sameForm(a: QuantizedForm, b: QuantizedForm | undefined): boolean {
  return a.bits === b?.bits && a.groupSize === b.groupSize;
}
