"""What a terminal would show: enough of one for a line that is edited."""

import re
import unicodedata


class Screen:
    def __init__(self, columns):
        self.columns, self.rows, self.row, self.column = columns, [[]], 0, 0

    def cells(self):
        while len(self.rows) <= self.row:
            self.rows.append([])
        line = self.rows[self.row]
        line.extend(' ' * (self.column - len(line)))
        return line

    def put(self, char):
        width = 0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in 'WF' else 1
        if self.column + width > self.columns:
            self.row, self.column = self.row + 1, 0
        self.cells()[self.column:self.column + width] = [char] + [''] * (width - 1)
        self.column += width

    def command(self, argument, name):
        count, line = int(argument or 1), self.cells()
        if name == 'A':
            self.row = max(0, self.row - count)
        elif name == 'B':
            self.row += count
        elif name == 'C':
            self.column += count
        elif name == 'D':
            self.column = max(0, min(self.column, self.columns - 1) - count)
        elif name == 'J':
            del line[self.column:], self.rows[self.row + 1:]
        elif name == 'K':
            del line[self.column:]
        elif name == 'P':
            del line[self.column:self.column + count]
        elif name == '@':
            line[self.column:self.column] = ' ' * count
        elif name != 'm':
            raise AssertionError(f'the terminal does not know CSI {argument}{name}')

    def feed(self, data):
        for csi, argument, name, rest in re.findall(r'(\x1b\[([0-9;]*)([@-~]))|([^\x1b])', data.decode()):
            if csi:
                self.command(argument, name)
            elif rest == '\r':
                self.column = 0
            elif rest == '\n':
                self.row += 1
                self.cells()
            elif rest == '\b':
                self.column = max(0, min(self.column, self.columns - 1) - 1)
            elif rest >= ' ':
                self.put(rest)

    def lines(self):
        return [''.join(line).rstrip() for line in self.rows]
