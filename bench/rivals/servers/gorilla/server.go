// gorilla/websocket. server PORT off|takeover|no-takeover: it knows compression without context takeover only.
package main

import (
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
)

const queueMessages = 256

// As in gorilla's chat example: a queue and a goroutine that writes for each member. A full queue makes the one who
// publishes wait, as nothing may be dropped here.
type member struct {
	conn  *websocket.Conn
	queue chan *websocket.PreparedMessage
}

var (
	upgrader = websocket.Upgrader{
		CheckOrigin:     func(*http.Request) bool { return true },
		WriteBufferPool: &sync.Pool{},
	}
	roomLock sync.RWMutex
	room     = map[*member]bool{}
)

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if err := conn.WriteMessage(kind, message); err != nil {
			return
		}
	}
}

func (m *member) write() {
	defer m.conn.Close()
	for message := range m.queue {
		if err := m.conn.WritePreparedMessage(message); err != nil {
			for range m.queue { // until it has left the room
			}
			return
		}
	}
}

func publish(from *member, message *websocket.PreparedMessage) {
	roomLock.RLock()
	defer roomLock.RUnlock()
	for m := range room {
		if m != from {
			m.queue <- message
		}
	}
}

func join(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	m := &member{conn, make(chan *websocket.PreparedMessage, queueMessages)}
	roomLock.Lock()
	room[m] = true
	roomLock.Unlock()
	go m.write()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			break
		}
		prepared, err := websocket.NewPreparedMessage(kind, message)
		if err != nil {
			break
		}
		publish(m, prepared)
	}
	roomLock.Lock()
	delete(room, m)
	roomLock.Unlock()
	close(m.queue)
}

func main() {
	upgrader.EnableCompression = os.Args[2] != "off"
	http.HandleFunc("/echo", echo)
	http.HandleFunc("/room", join)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
