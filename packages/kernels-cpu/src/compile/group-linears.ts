import type { GraphNode } from '@megascale/core';

/**
 * The same nodes with all `linear` nodes of one input side by side, at the place of the first:
 * queries, keys and values become one fork and join of the threads. Allowed because a linear reads
 * its input and nothing else, and that input is written once.
 */
export function groupLinears(nodes: readonly GraphNode[]): readonly GraphNode[] {
  const grouped: GraphNode[] = [];
  const placed = new Set<GraphNode>();
  const place = (node: GraphNode): void => {
    if (placed.has(node)) return;
    placed.add(node);
    grouped.push(node);
  };
  nodes.forEach((node, index) => {
    place(node);
    if (node.op !== 'linear') return;
    for (const later of nodes.slice(index + 1)) {
      if (later.op === 'linear' && later.x === node.x) place(later);
    }
  });
  return grouped;
}
