/** To a tenth of a pixel: more digits make a picture longer and no better. */
export function svgNumber(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** A text element; `attributes` as they stand in the tag. */
export function svgText(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${svgNumber(x)}" y="${svgNumber(y)}" ${attributes}>${escapeXml(content)}</text>`;
}

/** For text and attribute values of SVG and HTML. */
export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
