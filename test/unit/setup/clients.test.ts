import { describe, expect, test } from 'vitest';
import { CLIENTS } from '../../../src/setup/clients.ts';
import type { Places } from '../../../src/setup/clients.ts';

const LINUX: Places = { platform: 'linux', env: {}, home: '/home/jörg müller', cwd: '/home/me/gpu/my project' };
const MAC: Places = { platform: 'darwin', env: {}, home: '/Users/jörg müller', cwd: '/home/me/gpu/my project' };
const WINDOWS: Places = {
  platform: 'win32',
  env: { APPDATA: String.raw`D:\Roaming Ä` },
  home: String.raw`C:\Users\Jörg Müller`,
  cwd: String.raw`C:\my project`,
};

const filesOn = (places: Places): Readonly<Record<string, string>> =>
  Object.fromEntries(CLIENTS.map(({ id, file }) => [id, file(places)]));

describe('configuration file of each client', () => {
  test('on Linux', () => {
    expect(filesOn(LINUX)).toEqual({
      'claude-desktop': '/home/jörg müller/.config/Claude/claude_desktop_config.json',
      'claude-code': '/home/me/gpu/my project/.mcp.json',
      cursor: '/home/jörg müller/.cursor/mcp.json',
      vscode: '/home/jörg müller/.config/Code/User/mcp.json',
      windsurf: '/home/jörg müller/.codeium/windsurf/mcp_config.json',
      zed: '/home/jörg müller/.config/zed/settings.json',
      codex: '/home/jörg müller/.codex/config.toml',
      gemini: '/home/jörg müller/.gemini/settings.json',
      goose: '/home/jörg müller/.config/goose/config.yaml',
      opencode: '/home/jörg müller/.config/opencode/opencode.json',
      copilot: '/home/jörg müller/.copilot/mcp-config.json',
      qwen: '/home/jörg müller/.qwen/settings.json',
      cline: '/home/jörg müller/.cline/data/settings/cline_mcp_settings.json',
      continue: '/home/jörg müller/.continue/config.yaml',
      vibe: '/home/jörg müller/.vibe/config.toml',
      openhands: '/home/jörg müller/.openhands/mcp.json',
      'fast-agent': '/home/me/gpu/my project/fast-agent.yaml',
    });
  });

  test('on macOS, where Zed and Goose use ~/.config', () => {
    expect(filesOn(MAC)).toMatchObject({
      'claude-desktop': '/Users/jörg müller/Library/Application Support/Claude/claude_desktop_config.json',
      vscode: '/Users/jörg müller/Library/Application Support/Code/User/mcp.json',
      zed: '/Users/jörg müller/.config/zed/settings.json',
      goose: '/Users/jörg müller/.config/goose/config.yaml',
    });
  });

  test('on Windows, in %APPDATA% and in the home folder', () => {
    expect(filesOn(WINDOWS)).toEqual({
      'claude-desktop': String.raw`D:\Roaming Ä\Claude\claude_desktop_config.json`,
      'claude-code': String.raw`C:\my project\.mcp.json`,
      cursor: String.raw`C:\Users\Jörg Müller\.cursor\mcp.json`,
      vscode: String.raw`D:\Roaming Ä\Code\User\mcp.json`,
      windsurf: String.raw`C:\Users\Jörg Müller\.codeium\windsurf\mcp_config.json`,
      zed: String.raw`D:\Roaming Ä\Zed\settings.json`,
      codex: String.raw`C:\Users\Jörg Müller\.codex\config.toml`,
      gemini: String.raw`C:\Users\Jörg Müller\.gemini\settings.json`,
      goose: String.raw`D:\Roaming Ä\Block\goose\config\config.yaml`,
      opencode: String.raw`C:\Users\Jörg Müller\.config\opencode\opencode.json`,
      copilot: String.raw`C:\Users\Jörg Müller\.copilot\mcp-config.json`,
      qwen: String.raw`C:\Users\Jörg Müller\.qwen\settings.json`,
      cline: String.raw`C:\Users\Jörg Müller\.cline\data\settings\cline_mcp_settings.json`,
      continue: String.raw`C:\Users\Jörg Müller\.continue\config.yaml`,
      vibe: String.raw`C:\Users\Jörg Müller\.vibe\config.toml`,
      openhands: String.raw`C:\Users\Jörg Müller\.openhands\mcp.json`,
      'fast-agent': String.raw`C:\my project\fast-agent.yaml`,
    });
  });

  test('without %APPDATA%, below the home folder', () => {
    expect(filesOn({ ...WINDOWS, env: {} })).toMatchObject({
      'claude-desktop': String.raw`C:\Users\Jörg Müller\AppData\Roaming\Claude\claude_desktop_config.json`,
    });
  });

  test('uses variables with an absolute folder and ignores the others', () => {
    const moved = { ...LINUX, env: { XDG_CONFIG_HOME: '/conf', CODEX_HOME: '/codex' } };
    expect(filesOn(moved)).toMatchObject({
      'claude-desktop': '/conf/Claude/claude_desktop_config.json',
      zed: '/conf/zed/settings.json',
      codex: '/codex/config.toml',
    });
    const relative = { ...LINUX, env: { XDG_CONFIG_HOME: 'conf', CODEX_HOME: '' } };
    expect(filesOn(relative)).toEqual(filesOn(LINUX));
  });
});
