import type { AnyTool } from '../../src/tool/tool.ts';

// The usual constants of BM25.
const SATURATION = 1.2;
const LENGTH_WEIGHT = 0.75;

/** Returns the names of the tools that contain a word of the request, best first by BM25 over name and description. */
export function rankTools(request: string, tools: readonly Pick<AnyTool, 'name' | 'description'>[]): string[] {
  const texts = tools.map(({ name, description }) => ({ name, words: wordsOf(`${name} ${description}`) }));
  const averageLength = texts.reduce((sum, { words }) => sum + words.length, 0) / texts.length;
  const rarity = (word: string): number => {
    const count = texts.filter(({ words }) => words.includes(word)).length;
    return Math.log(1 + (texts.length - count + 0.5) / (count + 0.5));
  };
  const scoreOf = (words: readonly string[], word: string): number => {
    const count = words.filter((other) => other === word).length;
    const length = 1 - LENGTH_WEIGHT + (LENGTH_WEIGHT * words.length) / averageLength;
    return (rarity(word) * count * (SATURATION + 1)) / (count + SATURATION * length);
  };
  const wanted = [...new Set(wordsOf(request))];
  return texts
    .map(({ name, words }) => ({ name, score: wanted.reduce((sum, word) => sum + scoreOf(words, word), 0) }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score)
    .map(({ name }) => name);
}

/** Without stemming: a host may have none, and a description must not depend on it. */
const wordsOf = (text: string): string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
